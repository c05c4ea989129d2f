// Reads a log that is published as c2sp.org/tlog-tiles, with Go's own implementation of trees and notes.
//
//	tlog KEY-FILE URL|DIR
//
// KEY-FILE has a verifier key a line. With SIGNET_TOKEN, entries of a URL are read too. What it says last is the size.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// The height of tiles, which the paths of c2sp.org/tlog-tiles leave out.
const height = 8

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: tlog KEY-FILE URL|DIR")
		os.Exit(2)
	}
	size, err := check(os.Args[1], place(os.Args[2]))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(size)
}

func check(keyFile string, log place) (int64, error) {
	tree, err := head(keyFile, log)
	if err != nil {
		return 0, err
	}
	// Each tile that it hands out was verified against the tree's root.
	hashes := tlog.TileHashReader(tree, log)
	root, err := tlog.TreeHash(tree.N, hashes)
	if err != nil || root != tree.Hash {
		return 0, fmt.Errorf("the root of %d is not that of the checkpoint: %v", tree.N, err)
	}
	for _, n := range samples(tree.N) {
		stored, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, n)})
		if err != nil {
			return 0, fmt.Errorf("leaf %d: %w", n, err)
		}
		leaf := stored[0]
		if entry, err := log.entry(n, tree.N); err != nil {
			return 0, err
		} else if entry != nil && tlog.RecordHash(entry) != leaf {
			return 0, fmt.Errorf("entry %d is not its leaf", n)
		}
		proof, err := tlog.ProveRecord(tree.N, n, hashes)
		if err != nil {
			return 0, fmt.Errorf("inclusion of %d: %w", n, err)
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, n, leaf); err != nil {
			return 0, fmt.Errorf("inclusion of %d: %w", n, err)
		}
		old, err := tlog.TreeHash(n+1, hashes)
		if err != nil {
			return 0, fmt.Errorf("root of %d: %w", n+1, err)
		}
		grown, err := tlog.ProveTree(tree.N, n+1, hashes)
		if err != nil {
			return 0, fmt.Errorf("consistency with %d: %w", n+1, err)
		}
		if err := tlog.CheckTree(grown, tree.N, tree.Hash, n+1, old); err != nil {
			return 0, fmt.Errorf("consistency with %d: %w", n+1, err)
		}
	}
	return tree.N, nil
}

func head(keyFile string, log place) (tlog.Tree, error) {
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return tlog.Tree{}, err
	}
	var verifiers []note.Verifier
	for _, key := range strings.Fields(string(text)) {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return tlog.Tree{}, fmt.Errorf("%s: %w", key, err)
		}
		verifiers = append(verifiers, verifier)
	}
	signed, err := log.read("checkpoint")
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(signed, note.VerifierList(verifiers...))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifiers[0].Name() {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %q", opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tlog.Tree{}, fmt.Errorf("root: %q", lines[2])
	}
	return tlog.Tree{N: size, Hash: tlog.Hash(root)}, nil
}

// samples are the ends, what is beside the edges of tiles, and some in between.
func samples(size int64) []int64 {
	var all []int64
	for _, n := range []int64{0, 1, 254, 255, 256, 257, 65534, 65535, 65536, size / 3, size / 2, size - 257, size - 256, size - 2, size - 1} {
		if n >= 0 && n < size {
			all = append(all, n)
		}
	}
	return all
}

// place is a URL or a folder, below which are `checkpoint` and `tile/…`.
type place string

func (p place) Height() int { return height }

func (p place) SaveTiles([]tlog.Tile, [][]byte) {}

func (p place) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		data, err := p.read(fmt.Sprintf("tile/%d/%s", tile.L, number(tile.N, tile.W)))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// entry is nil where the entries can not be read.
func (p place) entry(n, size int64) ([]byte, error) {
	if strings.HasPrefix(string(p), "http") && os.Getenv("SIGNET_TOKEN") == "" {
		return nil, nil
	}
	width := min(size-n/256*256, 256)
	bundle, err := p.read("tile/entries/" + number(n/256, int(width)))
	if err != nil {
		return nil, err
	}
	for skip := n % 256; ; skip-- {
		if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
			return nil, fmt.Errorf("the bundle of entry %d breaks off", n)
		}
		end := 2 + int(binary.BigEndian.Uint16(bundle))
		if skip == 0 {
			return bundle[2:end], nil
		}
		bundle = bundle[end:]
	}
}

func (p place) read(path string) ([]byte, error) {
	if !strings.HasPrefix(string(p), "http") {
		return os.ReadFile(filepath.Join(string(p), filepath.FromSlash(path)))
	}
	request, err := http.NewRequest("GET", strings.TrimSuffix(string(p), "/")+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	if token := os.Getenv("SIGNET_TOKEN"); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, answer.Status)
	}
	return data, err
}

// number is a tile's, in groups of three digits, with its width where it is partial.
func number(n int64, width int) string {
	path := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		path = fmt.Sprintf("x%03d/%s", n%1000, path)
	}
	if width < 1<<height {
		path += fmt.Sprintf(".p/%d", width)
	}
	return path
}
