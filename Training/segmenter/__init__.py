"""The segmenter: a small 3D U-Net that draws the head-and-neck structures in a crop of a CT."""
