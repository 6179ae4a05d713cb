//! Built-in read-only tools, rooted at the workspace.
