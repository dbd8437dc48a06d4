"""What is wrong with the knowledge base, found every night, each finding a task that somebody owns."""
