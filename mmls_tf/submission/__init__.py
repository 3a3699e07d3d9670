"""From a folder of images without masks to an archive of predicted masks, as a challenge takes it."""
