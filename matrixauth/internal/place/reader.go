package place

// Reader is a user who is to read a file, with all groups.
type Reader struct {
	UID  int
	GIDs []int
}

// Obstacle is what keeps a reader from a file.
type Obstacle struct {
	// Path is the file itself, or a directory on the way to it.
	Path string
	Dir  bool
}
