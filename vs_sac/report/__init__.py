"""What people look at: figures and the HTML page (extra ``report``)."""

import logging

# Without a home matplotlib keeps its list of fonts in the temporary folder, which works as well; it need not say so.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
