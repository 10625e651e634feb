"""What a gateway and a client say to a node: reads, submissions, their answers, and how JSON shows them."""
