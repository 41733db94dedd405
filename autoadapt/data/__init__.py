"""Images, labels, class tables, the decoded-image cache, regions and the street renderer."""
