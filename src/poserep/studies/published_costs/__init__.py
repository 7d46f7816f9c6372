"""Every parameter count and GFLOPs figure that the papers print, beside ours."""
