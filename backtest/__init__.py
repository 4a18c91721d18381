"""What would have happened: the exchange's rules, fills, accounts and the comparison."""
