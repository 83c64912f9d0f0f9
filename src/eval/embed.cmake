# embed.cmake - writes a text file as a C string: cmake -DINPUT=... -DOUTPUT=... -DNAME=... -P embed.cmake
file(READ "${INPUT}" hex HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
get_filename_component(source "${INPUT}" NAME)
file(WRITE "${OUTPUT}"
    "/* Made from ${source} by embed.cmake. */\n#include \"eval/python_internal.h\"\n\n"
    "const char ${NAME}[] = {\n${bytes}0};\n")
