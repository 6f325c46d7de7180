#!/usr/bin/env bats
# Guards that README and bench/README say what is true: the examples of README are run and compared,
# what they name exists, the figures are those that were measured.

load helpers
load examples

TOP=$BATS_TEST_DIRNAME/..
README=$TOP/README

setup_file() {
	run_examples "$README"
}

@test "README: a file is sent as shown" {
	as_shown "$README" 'Send a file'
}

@test "README: a program is served as shown" {
	as_shown "$README" 'Serve a program'
}

@test "README: a service is waited for, and a port forwarded to it, as shown" {
	as_shown "$README" 'Wait for a service'
}

@test "README: an open port is seen as shown" {
	as_shown "$README" 'See which ports are open'
}

@test "README: a service is asked for the right answer as shown" {
	as_shown "$README" 'Check the health of a service by its answer to a request'
}

@test "README: a greeting is exchanged as shown" {
	as_shown "$README" 'Exchange a greeting'
}

@test "README: every example has a test here" {
	all_examples_have_tests "$README"
}

@test "README: bootstrap demo and bootstrap check come within the first 15 lines, and exist" {
	head -n 15 "$README" | sed -n 's/^    //p' >first
	holds first './bootstrap demo\n./bootstrap check\n'
	# an unknown word gets the usage, and nothing else happens
	returns 2 sh "$TOP/bootstrap" help-me
	grep -q '^ *\./bootstrap demo ' err
	grep -q '^ *\./bootstrap check ' err
}

@test "README: the indented blocks that are not run are known ones" {
	blocks_of "$README" | cut -f 2 | sort -u >blocks
	examples_of "$README" | cut -f 2 | sort -u >run
	comm -23 blocks run >others
	blocks_of "$README" | awk -F '\t' 'NR == FNR { other[$0]; next } $2 in other { print $3 }' others - >not-run
	holds not-run './bootstrap demo\n./bootstrap check\n./bootstrap\nmkdir -p build && cd build\n../configure\nmake\nmake check\nmake install\n'
}

@test "the figures of bulk transfer in bench/README are those of bench/results.tsv" {
	sed -nE 's/^ {4}((tcptool|n[a-z.]+|socat).* \(.*\).* \(.*\).* \(.*)/\1/p' "$TOP/bench/README" >shown
	[ "$(wc -l <shown)" -eq 7 ]
	while read -r line; do
		[[ $line =~ ^([a-z.]+( -b [0-9]+[kM])?)\ +([0-9].*) ]]
		name=${BASH_REMATCH[1]/ -b /-}
		read -r -a figures <<<"${BASH_REMATCH[3]//[()]/}"
		measured=()
		for congestion in bbr reno; do
			for case in pipe null file; do
				for metric in GB/s CPU-s/GiB; do
					[[ $congestion$metric != reno*GiB ]] || continue
					measured+=("$(awk -F '\t' -v key="bulk $case $congestion $name $metric" \
						'$1 " " $2 " " $3 " " $4 " " $5 == key { printf "%.2f", $6 }' \
						"$TOP/bench/results.tsv")")
				done
			done
		done
		[ "${figures[*]}" = "${measured[*]}" ] || {
			echo "$name: bench/README ${figures[*]}, measured ${measured[*]}"
			return 1
		}
	done <shown
}

@test "README: every file and option that it names exists" {
	for file in man examples bench/README NEWS HACKING COPYING; do
		grep -q "\<$file\>" "$README"
		[ -e "$TOP/$file" ]
	done
	grep -oE 'tcptool[a-z-]*\([1-8]\)' "$README" | sort -u | tr '()' '. ' >pages
	[ -s pages ]
	while read -r page; do
		[ -f "$TOP/man/$page" ]
	done <pages
	returns 0 "$TCPTOOL" listen --help
	mv out help
	returns 0 "$TCPTOOL" connect --help
	cat out >>help
	grep -o -e '--[a-z][a-z-]*' "$README" | sort -u >named
	[ -s named ]
	while read -r option; do
		grep -q -e "$option\>" help || {
			echo "$option"
			return 1
		}
	done <named
}
