"""Training: one pure step, mapped over devices, in a loop that can be stopped and resumed."""
