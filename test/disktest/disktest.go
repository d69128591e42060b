// Package disktest gives tests a disk that is too small.
package disktest

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Small mounts an empty file system that holds 512 KiB, until the test is over, and returns where. Where that is not allowed the test says SKIP.
func Small(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("SKIP: no file system of a size of its own can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}
