"""Reports for people: figures and the HTML page (extra ``report``)."""
