# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Rewrites pan.t, which Spin made: the transitions, a call each, become rows of tables and one loop.
# The calls take a third of the time to compile a verifier. Rows keep the order of the calls. Lines
# of another form stay as they are, so a Spin that writes other lines costs time and nothing else.
BEGIN {
    print "struct row { int next, keep, process, state, a, b, c, d, e; char *text; int f, g, h; };"
    print "static Trans *set_rows(const struct row *r, int n, Trans *T) {"
    print "    Trans *settr(int, int, int, int, int, char *, int, int, int), *made;"
    print "    for (; n--; r++) {"
    print "        made = settr(r->a, r->b, r->c, r->d, r->e, r->text, r->f, r->g, r->h);"
    print "        if (r->next) T->nxt = made; else trans[r->process][r->state] = made;"
    print "        if (r->keep) T = made;"
    print "    }"
    print "    return T;"
    print "}"
}

function write_rows() {
    if (rows != "")
        printf "{ static const struct row rows[] = {\n%s};\n" \
            "T = set_rows(rows, sizeof rows / sizeof *rows, T); }\n", rows
    rows = ""
}

/^settable\(void\)/ { inside = 1 }
!inside { print; next }
/^}/ { inside = 0 }

# T = trans[1][2] = settr(...);   trans[1][2] = settr(...);   T = T->nxt = settr(...);   ...
/^[^"]*(trans\[ *[0-9]+\]\[[0-9]+\]|T->nxt)[ \t]*= settr\(.*\);[^"]*$/ {
    call = index($0, "settr(")
    place = substr($0, 1, call - 1)
    values = substr($0, call + length("settr("))
    sub(/\);[^"]*$/, "", values)
    keep = place ~ /T = /
    if (place ~ /nxt/)
        row = "1, " keep ", 0, 0"
    else {
        sub(/^.*trans\[ */, "", place)
        row = "0, " keep ", " place + 0 ", "
        sub(/^[0-9]+\]\[/, "", place)
        row = row (place + 0)
    }
    rows = rows "{" row ", " values "},\n"
    next
}
# These and the rows do not depend on each other.
/^\treached[0-9]+\[[0-9]+\] = 1;$/ || NF == 0 { print; next }
{ write_rows(); print }
