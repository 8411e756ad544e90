// Package bench compares the program, built as it is released, with servers that a user
// would otherwise run. All take turns on the same machine in the same run, so that their
// ratios say something even where the times do not: on a shared machine, or on two
// processors that also run the callers and a stand-in for the API.
//
// The references are
//
//   - plain: a server on mcp-go with the image packages of Go (folder plain);
//   - sharp: a server on the TypeScript SDK with sharp, which uses libvips (folder sharp);
//   - nginx, for downloads.
//
// They save a picture with one plain write. The program also makes it durable, keeps a
// catalog and limits what callers can spend, and is measured with all that.
//
// A benchmark reports medians over its rounds: cpu-ms is the program's figure, and
// cpu-of-plain is the ratio of the program's figure to that of plain in the same round. CPU
// is what the process of the server used, in user and system mode. Answers and saved files
// are checked, so a server that fails does not look fast. The goals are
//
//	Call         CPU of generate_image         <= 0.9 of sharp for PNG, 1.2 for JPEG
//	Callers      64 callers, calls a second    >= 1.0 of sharp
//	             peak memory                   <= 0.12 of sharp
//	Start        until tools/list is answered  <= 1.3 of plain
//	IdleMemory   resident memory               <= 1.5 of plain
//	Read         resources/read of 1.5 MB      >= 2.5 of plain
//	Export       CPU of export_image           <= 1.5 of sharp
//	Download     requests a second             >= 0.85 of nginx, 0.95 with 16 connections
//	200Callers   20 requests at a time         <= 1.25 of the time that the API takes
//	Million      a million images              <= 2 of 1,000 images, searches <= 100 ms
//
// To compare two commits, run the following in both on an idle machine, and pass the outputs
// to benchstat, which calls it an improvement if a figure falls: that is wrong for rates. A
// goal is met if the median of three runs meets it.
//
//	mkdir /tmp/sharp && cp .ci/suites/bench/sharp/package.json /tmp/sharp
//	(cd /tmp/sharp && npm install)
//	export ZAI_BENCH_SHARP=/tmp/sharp
//	go test -run '^$' -bench . -benchtime 3x -count 3 ./.ci/suites/bench
//
// ZAI_BENCH_SHARP is the folder in which the packages for sharp are installed; without it
// comparisons with sharp are skipped. ZAI_BENCH_IMAGES is the number of images of a large
// library, 100,000 unless it is set. The benchmarks need Linux; downloads need wrk and nginx.
package bench
