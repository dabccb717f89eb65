raise RuntimeError("Error(s) in loading state_dict for Net:\n\tMissing key(s) in state_dict: \"fc.weight\".")
