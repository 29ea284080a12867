package operate

// maxPage bounds the entries of a page of any list.
const maxPage = 500

// pageSize returns the size of a page of which limit entries are wanted.
func pageSize(limit int) int {
	if limit <= 0 {
		return maxPage
	}
	return min(limit, maxPage)
}

// cutPage returns the entries of a page, of which size and one more were asked for, and where the next page begins:
// behind the last entry, or the zero value at the end. Each list keeps a page type of its own, as a command may speak
// to a server of another version, by the names of its members.
func cutPage[T any, C comparable](found []T, size int, cursor func(T) C) (page []T, next C) {
	if len(found) <= size {
		return found, next
	}
	return found[:size], cursor(found[size-1])
}
