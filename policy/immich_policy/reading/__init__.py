"""Views of what is registered that rules of several families share: containers, files, proxies, targets."""
