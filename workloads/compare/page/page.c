// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Takes files into the program; CMakeLists.txt says that this depends on them.
#include "page.h"

#define EMBED(name, file)                                                          \
    __asm__(".pushsection .rodata\n.global " #name "\n" #name ":\n.incbin \"" file \
            "\"\n.byte 0\n.popsection\n")

EMBED(page_html, PAGE_FOLDER "/page.html");
EMBED(page_css, PAGE_FOLDER "/page.css");
EMBED(page_js, PAGE_FOLDER "/page.js");
