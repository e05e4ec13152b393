"""One model built several times: do answers, speed and verdict depend on the build?"""
