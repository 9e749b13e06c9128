"""What people look at: figures and the HTML page (extra ``report``)."""
