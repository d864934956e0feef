"""How well embeddings retrieve, and what anchors have learned."""
