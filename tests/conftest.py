"""Empty: where it lies, its folder's helpers (`fake_server`, `scripted`, ...) can be imported by all tests."""
