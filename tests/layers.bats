#!/usr/bin/env bats
# Guards the layers of src/: a file includes its own directory and those below it, never one above.

# shellcheck disable=SC2154 # make check sets it
SRC=${abs_top_srcdir:-$BATS_TEST_DIRNAME/..}/src

# from the top down
ORDER=(cmd server session observe trace flow stream net loop base)

# may DIRECTORY: the directories whose headers it may include, with blanks around.
may() {
	local i
	case $1 in
	trace) echo " trace stream net base " ;;
	flow) echo " flow stream base " ;;
	stream) echo " stream base " ;;
	*)
		for i in "${!ORDER[@]}"; do
			[ "${ORDER[i]}" != "$1" ] || echo " ${ORDER[*]:i} "
		done
		;;
	esac
}

@test "every directory of src/ has its place in the order" {
	for path in "$SRC"/*/; do
		name=$(basename "$path")
		echo "$name"
		[[ " ${ORDER[*]} " == *" $name "* ]]
	done
}

@test "no file includes a directory above its own" {
	local found=0 wrong=0 directory included
	declare -A allowed=()
	for directory in "${ORDER[@]}"; do
		allowed[$directory]=$(may "$directory")
	done
	while read -r directory included; do
		found=$((found + 1))
		[[ ${allowed[$directory]:-} == *" $included "* ]] && continue
		echo "a file in $directory/ includes $included/"
		wrong=$((wrong + 1))
	done < <(cd "$SRC" && grep -o '^[[:space:]]*#[[:space:]]*include[[:space:]]*"[a-z]*/' ./*/*.[ch] |
		sed 's|^\./\([a-z]*\)/[^"]*"\(.*\)/$|\1 \2|')
	# and the pattern has not gone blind
	[ "$found" -gt 50 ]
	[ "$wrong" -eq 0 ]
}

@test "project headers are included by their directory" {
	run grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"[^/"]*"' "$SRC"/*/*.[ch] "$SRC"/main.c
	bad=$(grep -v '"config.h"' <<<"$output" || true)
	echo "$bad"
	[ -z "$bad" ]
}

@test "main.c stays small" {
	[ "$(wc -l <"$SRC/main.c")" -lt 70 ]
}
