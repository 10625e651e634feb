"""What crosses a socket between nodes: blocks, frames and messages."""
