# Writes the bytes of INPUT as a C array into OUTPUT: cmake -DINPUT=... -DOUTPUT=... -P embed.cmake
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"rpc/reflection.h\"\n\nconst unsigned char descriptors_data[] = {\n${bytes}};\nconst size_t descriptors_bytes = sizeof descriptors_data;\n")
