"""What talks: questions in, cited answers out."""
