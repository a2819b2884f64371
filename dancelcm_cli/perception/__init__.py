"""What is seen in a picture: people's keypoints, their drawing and retargeting, and faces."""
