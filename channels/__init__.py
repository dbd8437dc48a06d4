"""Channels turn bytes into messages and back. What a message means is none of their business."""
