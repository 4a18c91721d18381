"""The figures in the README, each from one command; every one a ratio to something measured in the same run."""
