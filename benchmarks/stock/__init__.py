"""Stock Rasa 3.6.21 for comparison: its own pipeline and policies, none of our mends, an action server of rasa-sdk."""
