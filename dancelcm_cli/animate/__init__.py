"""A photo and a driving video become a video of the photo in motion."""
