"""What the model is asked, and how often: rounds of samples, and the blind continuations of Dropout-NTP."""
