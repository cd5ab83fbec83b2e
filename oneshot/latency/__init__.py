"""How long networks take on this machine: measured whole, or summed over operations that were measured once."""
