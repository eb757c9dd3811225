"""Where memory lies: in a region, in private pages of one, on another host, or nowhere any more."""
