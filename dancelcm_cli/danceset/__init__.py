"""The dance set: rendered people who dance, with exact keypoints, free of other people's rights."""
