"""Who answers: engines turn problems into responses."""
