"""Arrays and tables that are filled when they are touched: their sources, and what is computed from them."""
