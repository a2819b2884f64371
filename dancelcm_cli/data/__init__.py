"""The only code that touches video files, shards, checkpoints and downloads."""
