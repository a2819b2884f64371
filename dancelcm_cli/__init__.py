"""DanceLCM: human image animation in one to eight network steps."""

__version__ = "0.1.0"
