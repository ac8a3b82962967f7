//! File-system seam, pages, relation files, buffer pool, free space and visibility maps.
