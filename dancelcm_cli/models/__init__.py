"""Published weights become a model folder, and a model folder becomes what others read."""
