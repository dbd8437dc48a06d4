"""The pages of the workbench, one module each; each checks its role when it opens and at every step."""
