"""What crosses a socket: blocks, frames and messages between nodes, and queries from gateway to node."""
