"""Mail servers deliver while everything behind them fails: `./dev torture`."""
