// Package backup takes snapshots of etcd and proves them: by their hash, by what is in them, and by restoring them.
//
//	file, digest, err := backup.Open(ctx, "snapshot.db")
package backup
