"""What agents may say and what they are told: tools, arguments, answers. Pure."""
