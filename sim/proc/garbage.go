package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ownerFile in a temporary folder names the process that made it, so that a later process can tell whether it is gone.
const ownerFile = ".seatrial-owner"

// Identity names a process: its number is used again, together with its start time, until the machine boots, it is not.
type Identity struct {
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // clock ticks since boot
}

// String is the number and the start time: "4711 123456".
func (i Identity) String() string { return fmt.Sprintf("%d %d", i.PID, i.Started) }

// Self is the identity of this process.
func Self() (Identity, error) {
	stat, err := readStat(os.Getpid())
	return Identity{PID: os.Getpid(), Started: stat.started}, err
}

// Gone tells whether the process has ended. One that can't be looked at is not taken for gone.
func (i Identity) Gone() bool {
	stat, err := readStat(i.PID)
	if err != nil {
		return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH)
	}
	return stat.dead || stat.started != i.Started
}

// own writes the owner file.
func own(dir string) error {
	self, err := Self()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, ownerFile), []byte(self.String()+"\n"), 0o600)
}

// CollectGarbage removes the temporary folders below parent (empty: the system's) that a process made which is gone, killed together
// with its reaper. It returns what it removed.
func CollectGarbage(parent string) (removed []string, err error) {
	if parent == "" {
		parent = os.TempDir()
	}
	marks, err := filepath.Glob(filepath.Join(parent, "*", ownerFile))
	if err != nil {
		return nil, fmt.Errorf("look for folders left behind: %w", err)
	}
	for _, mark := range marks {
		if !orphaned(mark) {
			continue
		}
		dir := filepath.Dir(mark)
		if removeErr := os.RemoveAll(dir); removeErr != nil {
			err = errors.Join(err, fmt.Errorf("remove folder left behind: %w", removeErr))
			continue
		}
		removed = append(removed, dir)
	}
	return removed, err
}

// orphaned tells whether the process that an owner file names is gone. A file that can't be read is nobody's to remove.
func orphaned(mark string) bool {
	content, err := os.ReadFile(mark)
	if err != nil {
		return false
	}
	var owner Identity
	if _, err := fmt.Sscanf(string(content), "%d %d", &owner.PID, &owner.Started); err != nil {
		return false
	}
	return owner.Gone()
}
