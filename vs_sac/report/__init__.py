"""Reports for people: figures and the HTML page (extra ``report``)."""

import logging

# Without a writable home, matplotlib caches its list of fonts in the temporary folder and warns. It works as well.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
