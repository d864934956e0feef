"""Where clips come from: folders of media files, each with the same manifests."""
