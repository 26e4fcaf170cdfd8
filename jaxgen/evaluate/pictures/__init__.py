"""What a report shows beside its figures: each module makes pictures of two sets of images."""
